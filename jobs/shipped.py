"""All shipped job functions. In your own project name the modules you need in OFFLOAD_JOBS."""

from offload.jobs.digest import pbkdf2
from offload.jobs.file import checksum
from offload.jobs.http import request
from offload.jobs.image import compress, thumbnails
from offload.jobs.llm import LLM, complete
from offload.jobs.mail import send
from offload.jobs.maintenance import prune
from offload.jobs.pdf import render
from offload.jobs.report import daily
from offload.jobs.webhook import deliver

__all__ = [
    "LLM",
    "checksum",
    "complete",
    "compress",
    "daily",
    "deliver",
    "pbkdf2",
    "prune",
    "render",
    "request",
    "send",
    "thumbnails",
]
