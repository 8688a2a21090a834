"""Runs an S3-speaking server on a free loopback port until standard input ends.

Writes the port on a line of its own once it listens. Argument: http or https.
"""

import os
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

app = DomainDispatcherApplication(create_backend_app)
lock = threading.Lock()


def one_at_a_time(environ, start_response):
    # The real one decides atomically whether a name is free; moto looks first and stores then.
    with lock:
        return list(app(environ, start_response))


def stop_with_whoever_started_this():
    sys.stdin.buffer.read()
    os._exit(0)


tls = "adhoc" if sys.argv[1] == "https" else None
server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, ssl_context=tls)
threading.Thread(target=stop_with_whoever_started_this, daemon=True).start()
print(server.server_port, flush=True)
server.serve_forever()
