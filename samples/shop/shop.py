# SPDX-License-Identifier: Apache-2.0
"""The shop: every request to /buy is an order in PostgreSQL and a count in Redis, in this order; then it is answered.

So at any time: orders that were answered <= Redis's count <= PostgreSQL's rows.
"""
import hashlib
import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis

local = threading.local()


def database():
    """This thread's connection, made when it is needed."""
    if getattr(local, "database", None) is None:
        with open("/run/secrets/db_password") as secret:
            password = secret.read().strip()
        local.database = psycopg2.connect(
            host="db", user="shop", dbname="postgres", password=password, connect_timeout=3)
        local.database.autocommit = True
    return local.database


def forget():
    """After an error: whatever is broken is connected anew."""
    try:
        if getattr(local, "database", None) is not None:
            local.database.close()
    except psycopg2.Error:
        pass
    local.database = None


cache = redis.Redis(host="cache", socket_timeout=3, socket_connect_timeout=3)


def migrate():
    with database().cursor() as cursor:
        cursor.execute("create table if not exists orders"
                       " (number bigserial primary key, line text not null, digest text not null)")
        cursor.execute("create index if not exists orders_digest on orders (digest)")
        cursor.execute("select count(*) from orders")
        print(f"migrated, {cursor.fetchone()[0]} orders", flush=True)


def buy():
    with database().cursor() as cursor:
        cursor.execute("insert into orders (line, digest) select l, encode(sha256(l::bytea), 'hex')"
                       " from (select 'order ' || gen_random_uuid() as l) as new returning number, line, digest")
        number, line, digest = cursor.fetchone()
    if hashlib.sha256(line.encode()).hexdigest() != digest:
        raise ValueError(f"order {number} is not what was written")
    return {"order": number, "count": cache.incr("orders")}


def report():
    with database().cursor() as cursor:
        cursor.execute("select count(*), count(*) filter (where digest <> encode(sha256(line::bytea), 'hex')),"
                       " count(distinct line) from orders")
        rows, bad, distinct = cursor.fetchone()
    return {"rows": rows, "bad": bad, "distinct": distinct, "count": int(cache.get("orders") or 0)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        pages = {"/buy": buy, "/report": report, "/health": lambda: {"redis": cache.ping(), **ping()}}
        page = pages.get(self.path)
        try:
            status, answer = (200, page()) if page else (404, {"error": "no such page"})
        except Exception as error:  # whatever a dependency does, the client is told
            forget()
            status, answer = 503, {"error": str(error).strip()}
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


def ping():
    with database().cursor() as cursor:
        cursor.execute("select 1")
        return {"postgresql": cursor.fetchone()[0] == 1}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main(command):
    if command == "migrate":
        migrate()
    elif command == "check":
        with urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=4) as answer:
            print(answer.read().decode().strip())
    elif command == "serve":
        print("serving", flush=True)
        Server(("", 8000), Handler).serve_forever()
    else:
        sys.exit(f"shop: there is no command {command}")


main(sys.argv[1] if len(sys.argv) > 1 else "serve")
