"""Starts a worker of isoloss in an actor of a Ray cluster, and passes the lines between the two.

    ray start --head                # or RAY_ADDRESS names a cluster that runs
    isoloss surface RUN --data DATA --worker 'python examples/ray_workers.py {}' --workers 4
    isoloss surface RUN --data DATA --worker 'python examples/ray_workers.py --cpus 4 --gpus 1 {}' --workers 8

isoloss starts this script once for each worker, with the worker's own command behind the options. The script asks Ray
for an actor with so many CPUs and GPUs (--gpus 0.5 puts two on a card). The actor starts the command on its node, in
the folder in which isoloss was started: the program, the run and the data have the same paths on every node. The
worker ends with the actor, the actor with this script, and this script with isoloss. Where the actor or its node dies,
isoloss says so, starts the script again, and asks the new worker for the point.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import threading

import ray

# isoloss waits for a minute until a worker says its first line.
PATIENCE = 50


# Orders are written in their order by one thread, while others wait for the worker's lines.
@ray.remote(max_restarts=0, concurrency_groups={"orders": 1, "lines": 2})
class Holder:
    """Holds the worker's process."""

    def __init__(self, command, folder, threads):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
        pipe = subprocess.PIPE
        self.worker = subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)

    @ray.method(concurrency_group="orders")
    def write(self, line):
        # A worker that has ended is found out by its lines.
        with contextlib.suppress(BrokenPipeError):
            self.worker.stdin.write(line)
            self.worker.stdin.flush()

    @ray.method(concurrency_group="orders")
    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.worker.stdin.close()

    @ray.method(concurrency_group="lines", num_returns="streaming")
    def lines(self, stream):
        for line in getattr(self.worker, stream):
            yield line

    @ray.method(concurrency_group="lines")
    def code(self):
        """The exit code of the worker; for a signal, that of a shell."""
        code = self.worker.wait()
        return code if code >= 0 else 128 - code


def pass_lines(holder, stream, output):
    # Why an actor died is told once, by who asks for the exit code.
    with contextlib.suppress(ray.exceptions.RayError):
        for line in holder.lines.remote(stream):
            output.write(ray.get(line))
            output.flush()


def pass_orders(holder):
    for line in sys.stdin.buffer:
        holder.write.remote(line)
    holder.close.remote()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpus", type=float, default=1)
    parser.add_argument("--gpus", type=float, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    # Standard output is for the worker's lines alone; what Ray prints goes to standard error.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        ray.init(address="auto", log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        sys.exit(f"no Ray cluster was found (ray start --head, or RAY_ADDRESS): {error}")
    sized = Holder.options(num_cpus=options.cpus, num_gpus=options.gpus)
    holder = sized.remote(options.command, os.getcwd(), max(1, int(options.cpus)))
    if not ray.wait([holder.__ray_ready__.remote()], timeout=PATIENCE)[0]:
        sys.exit(f"no node of the Ray cluster has {options.cpus:g} CPUs and {options.gpus:g} GPUs to spare")
    threading.Thread(target=pass_orders, args=[holder], daemon=True).start()
    errors = threading.Thread(target=pass_lines, args=[holder, "stderr", sys.stderr.buffer], daemon=True)
    errors.start()
    pass_lines(holder, "stdout", output)
    errors.join()
    try:
        code = ray.get(holder.code.remote())
    except ray.exceptions.RayError as error:
        print(error, file=sys.stderr, flush=True)
        code = 1
    ray.shutdown()
    # Python would wait for the thread that reads standard input.
    os._exit(code)


if __name__ == "__main__":
    main()
