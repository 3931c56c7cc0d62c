"""For comparators.py: a pystrix FastAGI server with requests in its handler; prints its port."""

import hashlib
import hmac
import time

import requests
from pystrix.agi import FastAGIServer, core


def skarabee(agi, args, kwargs, match, path):
    url, phoneto = args
    phonefrom = agi.get_environment()["agi_callerid"]
    values = {"businessid": "8103", "phoneto": phoneto, "phonefrom": phonefrom, "timestamp": str(int(time.time()))}
    values["hash"] = hmac.new(b"key", "".join(values.values()).encode(), hashlib.sha256).hexdigest()
    try:
        status = requests.post(url, params=values, timeout=10).json()["Status"]
    except requests.RequestException:
        status = "ERROR"
    agi.execute(core.SetVariable("BARESTATUS", status))


FastAGIServer.get_somaxconn = staticmethod(lambda: 1024)  # else it runs sysctl, which may not be there
server = FastAGIServer(port=0)
server.register_script_handler("skarabee", skarabee)
print(server.server_address[1], flush=True)
server.serve_forever()
