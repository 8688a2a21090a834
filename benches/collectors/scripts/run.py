#!/usr/bin/env python3
"""Sends the same block events to Portledger's collector, to nfcapd and to rsyslog, one after the
other, and says what each took of them, at what price, and how long one look-up takes.

Standard library only. nfdump and rsyslog come from Debian; a peer that is not there is left out,
and that is said."""

import argparse
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, **options)


def port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def processor_seconds(pid):
    """Of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def keeper_seconds(pid):
    """Of the thread that seals."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "keeper":
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def bytes_in(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def settled(pid, seconds=2.0):
    """Waits until a process has nothing to do; returns its processor time."""
    last, since = processor_seconds(pid), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.1)
        now = processor_seconds(pid)
        if now - last > 0.02:
            last, since = now, time.monotonic()
    return last


def send(arguments, file, to, rate):
    said = run(
        arguments.sender, "send", file, "--to", f"127.0.0.1:{to}",
        "--rate", rate, "--events", arguments.events, capture_output=True, text=True,
    )
    return json.loads(said.stdout)


def timed(command):
    began = time.monotonic()
    said = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return time.monotonic() - began, said


class Portledger:
    name = "portledger"
    form = "ipfix"

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.port, self.metrics = port(), port()
        folder.mkdir(parents=True)
        self.ledger = folder / "ledger"
        (folder / "serve.toml").write_text(
            f'ledger = "{self.ledger}"\nmetrics = "127.0.0.1:{self.metrics}"\n'
            f'[[listen]]\nprotocol = "flows"\ntransport = "udp"\naddress = "127.0.0.1:{self.port}"\n'
        )
        self.process = subprocess.Popen(
            [arguments.portledger, "serve", "-c", folder / "serve.toml"],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for line in self.process.stderr:
            if line.startswith("ready"):
                break
        self.pid = self.process.pid

    def figure(self, name):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics").read().decode()
        found = re.search(rf"^portledger_collector_{name}(?:\{{[^}}]*\}})? (\d+)$", page, re.M)
        return int(found[1]) if found else 0

    def caught_up(self):
        """Waits until what came is durable; the processor time by then, of which sealing, that is
        done beside it, is told apart."""
        before = None
        while True:
            now = (self.figure("listener_received_total"), self.figure("durable_records_total"))
            used = processor_seconds(self.pid)
            if now == before and now[1] == self.figure("records_total"):
                self.kept = keeper_seconds(self.pid)
                return used - self.kept
            before = now
            time.sleep(1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=600)
        figures = json.loads(said.strip().splitlines()[-1])
        device = figures["devices"][0]
        listener = figures["listeners"][0]
        return {
            "taken": device["events"],
            "said_to_be_lost": device["missing"],
            "gaps": device["gaps"],
            "keeper_seconds_a_million": round(self.kept / device["events"] * 1e6, 3),
            "dropped_datagrams": listener["dropped"],
        }

    def store(self):
        began = time.monotonic()
        run(self.arguments.portledger, "seal", "--ledger", self.ledger, capture_output=True)
        sealed = time.monotonic() - began
        said = run(self.arguments.portledger, "stats", "--ledger", self.ledger, "--json",
                   capture_output=True, text=True)
        stats = json.loads(said.stdout)
        # What the day replaced stays a while for those who read it; the list says what counts.
        assert all(day["state"] == "sealed" for day in stats["days"]), stats
        return stats["segment_bytes"], {"seal_seconds": round(sealed, 1)}

    def look_up(self, question):
        command = [
            self.arguments.portledger, "who", f"{question['address']}:{question['port']}",
            "--at", question["at"], "--within", "1ms", "--ledger", self.ledger, "--json",
        ]
        took, said = timed(command)
        answer = json.loads(said.stdout)
        named = [held["subscriber"]["internal"] for held in answer["allocations"]]
        return took, named[0] if named else ""


class Nfcapd:
    name = "nfcapd"
    form = "netflow9"  # nfdump 1.7.1 drops the fields of port blocks over IPFIX

    def __init__(self, arguments, folder):
        self.folder = folder
        self.port = port()
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen(
            ["nfcapd", "-p", str(self.port), "-l", self.files, "-z", "-B", str(64 << 20), "-t", "300"],
            stdout=self.log, stderr=self.log,
        )
        self.pid = self.process.pid
        time.sleep(1)

    def caught_up(self):
        return settled(self.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=600)
        said = (self.folder / "log").read_text()
        lost = sum(int(count) for count in re.findall(r"Sequence Errors: (\d+)", said))
        listed = subprocess.Popen(
            ["nfdump", "-q", "-R", self.files, "-o", "fmt:%nevt"], stdout=subprocess.PIPE
        )
        taken = sum(1 for line in listed.stdout if line.strip())
        return {"taken": taken, "said_to_be_lost": f"{lost} sequence errors"}

    def store(self):
        return bytes_in(self.files), {}

    def look_up(self, question):
        wanted = f"src ip {question['inside']}"
        took, said = timed(["nfdump", "-q", "-R", self.files, "-o", "long", wanted])
        return took, question["inside"] if question["inside"] in said.stdout else ""


class Rsyslog:
    name = "rsyslog"
    form = "syslog"

    def __init__(self, arguments, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        self.port = port()
        self.file = folder / "nat.log"
        (folder / "rsyslog.conf").write_text(
            f'global(workDirectory="{folder}")\n'
            'module(load="imudp" batchSize="128")\n'
            f'input(type="imudp" port="{self.port}" address="127.0.0.1" rcvbufSize="64m")\n'
            'template(name="raw" type="string" string="%rawmsg%\\n")\n'
            f'action(type="omfile" file="{self.file}" template="raw" ioBufferSize="1m")\n'
        )
        self.process = subprocess.Popen(
            ["rsyslogd", "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.pid = self.process.pid
        time.sleep(1)

    def caught_up(self):
        return settled(self.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=600)
        with open(self.file, "rb") as lines:
            taken = sum(1 for _ in lines)
        return {"taken": taken, "said_to_be_lost": "nothing"}

    def store(self):
        packed = self.folder / "nat.log.gz"
        with open(self.file, "rb") as plain, gzip.open(packed, "wb", 6) as out:
            shutil.copyfileobj(plain, out, 1 << 20)
        self.packed = packed
        return packed.stat().st_size, {"plain_bytes": self.file.stat().st_size}

    def look_up(self, question):
        wanted = f"{question['address']}.*\\b{question['first']}\\b"
        self.plain, _ = timed(["grep", wanted, self.file])
        took, said = timed(["zgrep", wanted, self.packed])
        return took, question["inside"] if question["inside"] in said.stdout else ""


def question_of(arguments):
    """One block that was handed out and is held at a time: from the events as lines."""
    said = run(arguments.sender, "ask", "--events", arguments.events, "--from", arguments.day,
               capture_output=True, text=True)
    return json.loads(said.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portledger", required=True, help="the program, built for release")
    parser.add_argument("--sender", default=HERE / "target/release/portledger-collectors-bench")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rates", default="1e6,2e6,3e6", help="events a second, for flows")
    parser.add_argument("--line-rates", default="1e5,2e5", help="lines a second, for rsyslog")
    parser.add_argument("--peers", default="portledger,nfcapd,rsyslog")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/portledger-collectors"))
    arguments = parser.parse_args()
    # Days that are over are sealed.
    arguments.day = (int(time.time()) // 86400 - 2) * 86400 + 5 * 3600
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    peers = {"portledger": (Portledger, None), "nfcapd": (Nfcapd, "nfcapd"), "rsyslog": (Rsyslog, "rsyslogd")}
    question = question_of(arguments)
    for name in arguments.peers.split(","):
        peer, program = peers[name]
        if program and not shutil.which(program):
            print(f"{name}: not installed, left out", file=sys.stderr)
            continue
        messages = arguments.work / f"events.{peer.form}"
        if not messages.exists():
            run(arguments.sender, "generate", messages, "--events", arguments.events,
                "--form", peer.form, "--from", arguments.day)
        rates = arguments.line_rates if peer.form == "syslog" else arguments.rates
        for rate in map(float, rates.split(",")):
            folder = arguments.work / name
            shutil.rmtree(folder, ignore_errors=True)
            collector = peer(arguments, folder)
            before = processor_seconds(collector.pid)
            sent = send(arguments, messages, collector.port, rate)
            used = collector.caught_up() - before
            told = collector.stop()
            size, more = collector.store()
            looks = sorted(collector.look_up(question) for _ in range(3))
            took, answer = looks[1]
            taken = told["taken"]
            if hasattr(collector, "plain"):
                more["plain_look_up_ms"] = round(collector.plain * 1e3, 1)
            print(json.dumps({
                "collector": name,
                "rate": sent["rate"],
                "sent": arguments.events,
                **told,
                "lost": arguments.events - taken,
                "processor_seconds_a_million": round(used / max(taken, 1) * 1e6, 3),
                "bytes_an_event": round(size / max(taken, 1), 2),
                "look_up_ms": round(took * 1e3, 1),
                "load": os.getloadavg()[0],
                "answer_is_right": answer == question["inside"],
                **more,
            }), flush=True)
    shutil.rmtree(arguments.work)


main()
