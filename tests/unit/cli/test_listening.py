"""Taking the port."""

from contextlib import closing

import pytest

from offload.cli import listening
from offload.domain.errors import Unavailable
from offload.settings import Settings


def test_a_taken_port_is_one_line():
    """A port on which somebody listens is refused with what to do about it."""
    with closing(listening.listen(Settings(port=0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 is in use; .*--port, OFFLOAD_PORT"):
            listening.listen(Settings(port=port))


def test_a_host_that_is_not_ours_is_one_line():
    """An address of another machine, or what is no name of one, is refused with the setting's name."""
    with pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1"):
        listening.listen(Settings(host="192.0.2.1"))
    with pytest.raises(Unavailable, match="OFFLOAD_HOST"):
        listening.listen(Settings(host="two..dots"))


def test_the_url_is_one_that_a_browser_takes():
    """The address that is shown is one to open here, also when it listens on all of them."""
    with closing(listening.listen(Settings(host="0.0.0.0", port=0))) as everywhere:
        port = everywhere.getsockname()[1]

        assert listening.url_of(everywhere) == f"http://127.0.0.1:{port}"


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path):
    """`--fd` takes a socket and nothing else."""
    with (tmp_path / "file").open("w") as file, pytest.raises(Unavailable, match="is not a socket"):
        listening.inherited(file.fileno())
