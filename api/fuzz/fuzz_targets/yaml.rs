#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::yaml, mainstay_api_fuzz::seeds::YAML);
