#![no_main]
mainstay_api_fuzz::decoder!(mainstay_api_fuzz::targets::protobuf, mainstay_api_fuzz::seeds::PROTOBUF);
