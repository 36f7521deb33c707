#![no_main]
mainstay_api_fuzz::decoder!(json, JSON);
