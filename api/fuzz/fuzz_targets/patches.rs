#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::patches, mainstay_api_fuzz::seeds::PATCHES);
