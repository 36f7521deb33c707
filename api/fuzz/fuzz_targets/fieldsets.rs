#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::fieldsets, mainstay_api_fuzz::seeds::FIELD_SETS);
