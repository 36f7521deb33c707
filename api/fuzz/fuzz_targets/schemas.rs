#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::schemas, mainstay_api_fuzz::seeds::SCHEMAS);
