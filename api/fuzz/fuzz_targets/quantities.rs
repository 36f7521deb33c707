#![no_main]
mainstay_api_fuzz::decoder!(quantities, QUANTITIES);
