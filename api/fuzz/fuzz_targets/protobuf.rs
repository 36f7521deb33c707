#![no_main]
mainstay_api_fuzz::decoder!(protobuf, PROTOBUF);
