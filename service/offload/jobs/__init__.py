"""The job functions that ship with Offload: mail, HTTP, webhooks, PDF, images, LLM, digests, files.

They are loaded if OFFLOAD_JOBS names them: `offload.jobs` for all, `offload.jobs.mail` for those of one module.
"""
