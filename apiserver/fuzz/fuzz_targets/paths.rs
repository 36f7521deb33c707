#![no_main]
mainstay_api_fuzz::decoder!(mainstay_apiserver::fuzz::paths, mainstay_apiserver::fuzz::PATHS);
