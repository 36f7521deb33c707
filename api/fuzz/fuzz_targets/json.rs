#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::json, mainstay_api_fuzz::seeds::JSON);
