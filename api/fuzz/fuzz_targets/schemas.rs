#![no_main]
mainstay_api_fuzz::decoder!(schemas, SCHEMAS);
