#![no_main]
mainstay_api_fuzz::decoder!(fieldsets, FIELD_SETS);
