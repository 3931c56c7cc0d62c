"""For comparators.py: a plain AGI script with pyst2 and requests, the way such scripts are written."""

import hashlib
import hmac
import sys
import time

import requests
from asterisk.agi import AGI

agi = AGI()
url, phoneto = sys.argv[1:3]
values = {
    "businessid": "8103",
    "phoneto": phoneto,
    "phonefrom": agi.env["agi_callerid"],
    "timestamp": str(int(time.time())),
}
values["hash"] = hmac.new(b"key", "".join(values.values()).encode(), hashlib.sha256).hexdigest()
try:
    status = requests.post(url, params=values, timeout=10).json()["Status"]
except requests.RequestException:
    status = "ERROR"
agi.set_variable("BARESTATUS", status)
