#![no_main]
mainstay_api_fuzz::decoder!(patches, PATCHES);
