"""Runs cplock and k6 in turn and compares them; called by `scripts/bench load`.

CPU and memory are the child's own, as the kernel counts them (wait4). Requests are counted from
what each tool wrote itself: cplock's ledger, k6's summary.
"""

import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

VUS, RAMP_S, HOLD_S = 2000, 2, 8

K6_SCRIPT = f"""
import http from 'k6/http';
import {{ check }} from 'k6';
export const options = {{ scenarios: {{ crowd: {{ executor: 'ramping-vus', startVUs: 0, stages: [
    {{ duration: '{RAMP_S}s', target: {VUS} }}, {{ duration: '{HOLD_S}s', target: {VUS} }}] }} }} }};
const params = {{ headers: {{ 'Content-Type': 'application/json', Authorization: 'Bearer bench' }} }};
export default function () {{
    const reply = http.post(`${{__ENV.TARGET}}/api/v1/user-coupon`, '{{"couponId":1}}', params);
    check(reply, {{ granted: (r) => r.status === 200 }});
}}
"""


def cplock_command(target, out):
    return [
        "target/release/cplock", "load", "--target", target, "--vus", str(VUS),
        "--ramp", f"{RAMP_S}s", "--hold", f"{HOLD_S}s", "--think", "0s",
        "--token", "bench", "--out", str(out),
    ]


def cplock_requests(out):
    (ledger,) = pathlib.Path(out).rglob("ledger.ndjson")
    with open(ledger, "rb") as lines:
        return sum(1 for _ in lines) - 1


def k6_command(k6, target, out):
    script = out / "crowd.js"
    script.write_text(K6_SCRIPT)
    summary = f"--summary-export={out / 'summary.json'}"
    return [k6, "run", "--quiet", "--no-usage-report", summary, "-e", f"TARGET={target}", str(script)]


def k6_requests(out):
    metrics = json.loads((out / "summary.json").read_text())["metrics"]
    failed = metrics["checks"]["fails"]
    if failed:
        sys.exit(f"k6: {failed} requests were not granted")
    return metrics["http_reqs"]["count"]


def measure(command, requests, out):
    log = open(out / "log", "wb")
    child = subprocess.Popen(command, stdout=log, stderr=log)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    # 4: the books are not known, as there is no database behind the trivial server.
    if child.returncode not in (0, 4):
        sys.exit(f"{command[0]} ended with {child.returncode}:\n{(out / 'log').read_text()}")
    count = requests(out)
    return {
        "requests": count,
        "requests_per_s": count / (RAMP_S + HOLD_S),
        "cpu_ms_per_1000": (usage.ru_utime + usage.ru_stime) * 1e6 / count,
        "rss_mib": usage.ru_maxrss / 1024,
    }


def server_cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(rows, key):
    values = [row[key] for row in rows]
    return statistics.median(values), min(values), max(values)


def main():
    rounds, k6, target, work, server = sys.argv[1:]
    rounds, work = int(rounds), pathlib.Path(work)
    tools = {
        "cplock": (lambda out: cplock_command(target, out), cplock_requests),
        "k6": (lambda out: k6_command(k6, target, out), k6_requests),
    }
    rows = {name: [] for name in tools}
    for number in range(1, rounds + 1):
        # Alternating, and each first in every other round: slow drifts meet both alike.
        for name in sorted(tools, reverse=number % 2 == 0):
            command, requests = tools[name]
            out = work / f"{name}-{number}"
            out.mkdir()
            before = server_cpu_s(server)
            row = measure(command(out), requests, out)
            row["server_cpu_ms_per_1000"] = (server_cpu_s(server) - before) * 1e6 / row["requests"]
            rows[name].append(row)
            shutil.rmtree(out)
            print(f"round {number} {name:6} " + "  ".join(f"{k} {v:,.1f}" for k, v in row.items()),
                  file=sys.stderr, flush=True)
            time.sleep(1)
    print(f"{VUS:,} VUs, ramp {RAMP_S} s, hold {HOLD_S} s, no think time, {rounds} rounds: "
          "median [lowest - highest]")
    ratios = {}
    for key in rows["k6"][0]:
        ours, theirs = spread(rows["cplock"], key), spread(rows["k6"], key)
        ratios[key] = ours[0] / theirs[0]
        text = "  ".join(f"{name} {m:,.1f} [{low:,.1f} - {high:,.1f}]"
                         for name, (m, low, high) in (("cplock", ours), ("k6", theirs)))
        print(f"{key:24} {text}  ratio {ratios[key]:.2f}")
    folder = pathlib.Path("reports/bench")
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    version = subprocess.run([k6, "version"], capture_output=True, text=True).stdout.strip()
    report = {
        "schema": "cplock.bench/1", "name": "load", "time": now.isoformat(timespec="seconds"),
        "vus": VUS, "ramp_s": RAMP_S, "hold_s": HOLD_S, "cpus": os.cpu_count(), "k6": version,
        "rounds": rows, "ratio_of_medians": ratios,
    }
    path = folder / f"load-{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
