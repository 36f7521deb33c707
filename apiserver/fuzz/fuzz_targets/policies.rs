#![no_main]
mainstay_apiserver_fuzz::decoder!(policies, POLICIES);
