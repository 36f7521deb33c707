#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::selectors, mainstay_api_fuzz::seeds::SELECTORS);
