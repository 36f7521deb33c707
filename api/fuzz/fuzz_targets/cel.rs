#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::cel, mainstay_api_fuzz::seeds::CEL);
