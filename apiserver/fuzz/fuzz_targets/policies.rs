#![no_main]
mainstay_api_fuzz::decoder!(mainstay_apiserver::fuzz::policies, mainstay_apiserver::fuzz::POLICIES);
