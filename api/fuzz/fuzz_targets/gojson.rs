#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::gojson, mainstay_api_fuzz::seeds::DOCUMENTS);
