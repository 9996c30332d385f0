"""Times `cplock verify` on bundles of growing size; called by `scripts/bench verify`.

Wall time, CPU and peak memory are of the whole process, reading the bundle and writing the verdict
included, as the kernel counts them (wait4). Each size is judged ROUNDS times; the first judgement
only warms the page cache.
"""

import datetime
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def judged(bundle):
    begun = time.monotonic()
    child = subprocess.Popen(
        ["target/release/cplock", "--quiet", "verify", str(bundle), "--format", "json"],
        stdout=subprocess.PIPE,
    )
    verdict = json.load(child.stdout)["verdict"]
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if verdict != "PASS" or child.returncode != 0:
        sys.exit(f"verify said {verdict} and ended with {child.returncode}")
    return {
        "wall_s": time.monotonic() - begun,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def measure(size, rounds):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["target/release/examples/big-bundle", folder, str(size)], check=True
        )
        bundle = next(pathlib.Path(folder).glob("big-*"))
        bytes_read = sum(file.stat().st_size for file in bundle.iterdir())
        judged(bundle)
        return bytes_read, [judged(bundle) for _ in range(rounds)]


def main():
    rounds, sizes = int(sys.argv[1]), [int(size) for size in sys.argv[2:]]
    results, base = [], None
    print(f"{'attempts':>12} {'wall s':>22} {'cpu s':>8} {'peak MB':>9} {'MB read':>8} {'n log n':>8}")
    for size in sizes:
        bytes_read, runs = measure(size, rounds)
        walls = sorted(run["wall_s"] for run in runs)
        median = statistics.median(walls)
        work = size * math.log2(size)
        base = base or median / work
        row = {
            "attempts": size, "bytes": bytes_read, "runs": runs,
            "wall_s": median, "peak_mb": max(run["peak_mb"] for run in runs),
            "growth": median / work / base,
        }
        results.append(row)
        cpu = statistics.median(run["cpu_s"] for run in runs)
        span = f"{median:.2f} [{walls[0]:.2f}–{walls[-1]:.2f}]"
        print(
            f"{size:>12,} {span:>22} {cpu:>8.2f} {row['peak_mb']:>9.0f} "
            f"{bytes_read / 1e6:>8.0f} {row['growth']:>7.2f}x"
        )
    target = pathlib.Path("reports/bench")
    target.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
    (target / f"verify-{stamp}.json").write_text(json.dumps(results, indent=2) + "\n")


main()
