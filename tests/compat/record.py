"""Runs all cases with ray.data and writes what they return to `expected/*.json`.

    python tests/compat/record.py [--only WORD]... [--print]

Needs an environment with `ray[data]==2.60.0`, pandas, pillow and torch. With --only, cases whose
"file.case" contains one of the words are run and the rest of the recording is kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import pathlib
import sys
import tempfile
import time
import warnings

import corpus


def _start_ray() -> object:
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        log_to_driver=False,
        logging_level=logging.ERROR,
        include_dashboard=False,
    )
    from ray import data

    logging.disable(logging.CRITICAL)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.default_hash_shuffle_parallelism = 4  # Its 200 take seconds for a few rows.
    return data


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--print", action="store_true", dest="show")
    parser.add_argument("--seconds", type=int, default=60, help="time limit of a case")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    data = _start_ray()
    corpus.EXPECTED.mkdir(exist_ok=True)
    timeouts = 0
    for module in corpus.modules():
        path = corpus.EXPECTED / f"{module.__name__}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        cases = corpus.cases_of(module)
        recording = {name: known[name] for name in cases if name in known}
        for name, case in cases.items():
            label = f"{module.__name__}.{name}"
            if options.only and not any(word in label for word in options.only):
                continue
            started = time.monotonic()
            try:
                with tempfile.TemporaryDirectory() as folder:
                    recording[name] = corpus.run_case(
                        case, data, pathlib.Path(folder), options.seconds
                    )
            except TimeoutError as error:
                timeouts += 1
                print(f"{label}: {error}", file=sys.stderr)
                continue
            text = json.dumps(recording[name], ensure_ascii=False)
            if options.show or "case raises" in text:
                print(f"{label} ({time.monotonic() - started:.1f} s): {text}", flush=True)
        ordered = {name: recording[name] for name in cases if name in recording}
        path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
        print(f"{path.name}: {len(ordered)} cases", flush=True)
    return 1 if timeouts else 0


if __name__ == "__main__":
    sys.exit(main())
