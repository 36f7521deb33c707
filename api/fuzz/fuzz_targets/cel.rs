#![no_main]
mainstay_api_fuzz::decoder!(cel, CEL);
