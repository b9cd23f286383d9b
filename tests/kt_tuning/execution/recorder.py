"""A driver for tests, and waiting for what other processes do."""

import os
import time

PATIENCE = 120
"""Seconds for what takes one on an idle machine."""


def alive(pid):
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(happened):
    """Wait until a condition holds; fail after `PATIENCE` seconds."""
    patience = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < patience
        time.sleep(0.02)


class Recorder:
    """A driver that hands out given jobs and writes down what it hears."""

    def __init__(self, jobs, go_on=lambda job, *news: True, retries=0):
        self.jobs = list(jobs)
        self.go_on = go_on
        self.retries = retries
        self.results, self.news, self.crashes = {}, [], []

    def next_job(self):
        return self.jobs.pop(0) if self.jobs else None

    def reported(self, job, *news):
        self.news.append((job, *news))
        return self.go_on(job, *news)

    def finished(self, job, result):
        self.results[job] = result

    def crashed(self, job, reason):
        self.crashes.append((job, reason))
        return len(self.crashes) <= self.retries
