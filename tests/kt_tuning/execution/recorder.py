"""A driver for tests."""


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
