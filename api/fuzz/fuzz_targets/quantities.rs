#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::quantities, mainstay_api_fuzz::seeds::QUANTITIES);
