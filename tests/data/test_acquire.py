"""Raw files found or downloaded: from a real server on loopback that breaks off, redirects and sends wrong files."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import sys
import threading
from contextlib import contextmanager

import pytest

from helpers import ROOT
from ikem.data import acquire as module
from ikem.data import download as downloading
from ikem.data.acquire import find, get_archive
from ikem.data.download import note
from ikem.data.fingerprint import located, write_record
from ikem.errors import InputError
from ikem.files import write_json
from ikem.settings.data import Archive
from ikem.settings.loading import load_config
from ikem.workflow.execute import Options, run_job
from ikem.workflow.plan import Plan
from ikem.yaml_loading import load_yaml

CONTENT = bytes(range(256)) * 4096 * 4  # 4 MiB
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.requests: list[tuple[str, str | None]] = []
        self.break_after: list[int] = []  # bytes after which the next answers break off
        self.statuses: list[int] = []  # statuses of the next answers
        self.password: str | None = None
        self.ranges, self.kind, self.range_shift = True, "application/zip", 0

    def handle_error(self, request, client_address):
        """Say nothing of a client that has hung up, which is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def url(self, path="/file.zip"):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if server.password and self.headers.get("Authorization") != server.password:
            self.answer(401, b"", {"WWW-Authenticate": "Basic"})
        elif self.path.startswith("/moved"):
            hops = int(self.path.rpartition("/")[2])
            target = f"/moved/{hops - 1}" if hops else "/file.zip"
            self.answer(302, b"", {"Location": target})
        elif server.statuses:
            self.answer(server.statuses.pop(0), b"no")
        elif self.path == "/circle":
            self.answer(302, b"", {"Location": "/circle"})
        else:
            start = 0
            if wanted and server.ranges and self.headers.get("If-Range", server.etag) == server.etag:
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            size = len(server.content)
            if start >= size:
                self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
            elif start:
                shown = start + server.range_shift
                self.answer(206, server.content[start:], {"Content-Range": f"bytes {shown}-{size - 1}/{size}"})
            else:
                self.answer(200, server.content)

    def answer(self, status, body, headers=None):
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "ETag": self.server.etag, "Content-Type": self.server.kind} | (
            headers or {}
        )
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.server.break_after and status in (200, 206):
            self.wfile.write(body[: self.server.break_after.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloading, "PAUSE", 0.01)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def get(data, archive=None, **more):
    archive = archive or Archive(file="file.zip", **more)
    return get_archive({"skeletons": archive}, "skeletons", data)


def leftovers(data):
    return sorted(path.name for path in data.iterdir() if not path.name.endswith(".lock"))


def test_a_plain_download(server, tmp_path):
    path = get(tmp_path, url=server.url(), md5=MD5, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["file.zip"]


def test_what_is_there_is_not_downloaded(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(CONTENT)
    assert get(tmp_path, url=server.url(), md5=MD5) == tmp_path / "file.zip"
    assert server.requests == []


def test_a_folder_will_do(tmp_path):
    (tmp_path / "file.zip").mkdir()
    assert get(tmp_path, md5=MD5) == tmp_path / "file.zip"


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_wrong_file_in_the_folder(tmp_path, kind):
    (tmp_path / "file.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match=rf"its {kind} is .* expected"):
        get(tmp_path, **{kind: MD5 if kind == "md5" else SHA256})


@pytest.mark.parametrize("breaks", [[0], [1], [len(CONTENT) // 2], [100_000, 1_000_000, 5, 0, 0, 2_000_000]])
def test_a_download_that_breaks_off_is_resumed(server, tmp_path, breaks):
    server.break_after = list(breaks)
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT
    assert server.break_after == []
    starts = [int(wanted[6:-1]) for _, wanted in server.requests if wanted]
    assert starts == sorted(starts)
    assert len(server.requests) == len(breaks) + 1
    if max(breaks) > 1:
        assert starts[-1] > 0


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    server.break_after = [1_500_000] + [0] * downloading.ATTEMPTS
    with pytest.raises(InputError, match=r"cannot be downloaded .* 14\d{5} bytes are kept"):
        get(tmp_path, url=server.url(), md5=MD5)
    assert leftovers(tmp_path) == [".file.zip.part", ".file.zip.part.json"]
    server.requests.clear()
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT
    [(_, wanted)] = server.requests
    assert 1_400_000 < int(wanted[6:-1]) <= 1_500_000


def test_a_file_that_changed_meanwhile_is_downloaded_anew(server, tmp_path):
    server.break_after = [1_500_000] + [0] * downloading.ATTEMPTS
    with pytest.raises(InputError):
        get(tmp_path, url=server.url())
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert get(tmp_path, url=server.url()).read_bytes() == CONTENT[::-1]


def test_a_beginning_of_another_address_is_not_gone_on_from(server, tmp_path):
    server.break_after = [1_500_000] + [0] * downloading.ATTEMPTS
    with pytest.raises(InputError):
        get(tmp_path, url=server.url("/other.zip"))
    server.requests.clear()
    assert get(tmp_path, url=server.url()).read_bytes() == CONTENT
    assert server.requests == [("/file.zip", None)]


def test_a_server_without_ranges(server, tmp_path):
    server.ranges, server.break_after = False, [1_500_000, 3_000_000]
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT


def test_a_server_that_sends_another_range(server, tmp_path):
    server.break_after, server.range_shift = [1_500_000], 7
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT


def test_a_complete_beginning_needs_nothing_more(server, tmp_path):
    part = tmp_path / ".file.zip.part"
    part.write_bytes(CONTENT)
    write_json(note(part), {"url": server.url(), "version": '"one"'})
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_beginning_longer_than_the_file(server, tmp_path):
    part = tmp_path / ".file.zip.part"
    part.write_bytes(CONTENT + b"more")
    write_json(note(part), {"url": server.url(), "version": '"one"'})
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT


@pytest.mark.parametrize("hops", [0, 3])
def test_redirects(server, tmp_path, hops):
    server.break_after = [1_000_000]
    assert get(tmp_path, url=server.url(f"/moved/{hops}"), md5=MD5).read_bytes() == CONTENT


def test_redirects_in_a_circle(server, tmp_path):
    with pytest.raises(InputError, match="cannot be downloaded"):
        get(tmp_path, url=server.url("/circle"))


def test_a_wrong_file_is_deleted(server, tmp_path):
    server.content = CONTENT[::-1]
    with pytest.raises(InputError, match="gave a wrong file"):
        get(tmp_path, url=server.url(), md5=MD5)
    assert leftovers(tmp_path) == []


def test_a_web_page_is_no_file(server, tmp_path):
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(InputError, match="gives a web page"):
        get(tmp_path, url=server.url())
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_refusals_are_reported_at_once(server, tmp_path, status):
    server.statuses = [status]
    with pytest.raises(InputError, match=f"the server says {status}"):
        get(tmp_path, url=server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_troubles_pass(server, tmp_path, status):
    server.statuses = [status, status]
    assert get(tmp_path, url=server.url(), md5=MD5).read_bytes() == CONTENT


def test_nobody_answers(server, tmp_path):
    with pytest.raises(InputError, match="cannot be downloaded"):
        get(tmp_path, url="http://127.0.0.1:9/file.zip")


def test_only_one_process_downloads(server, tmp_path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(get(tmp_path, url=server.url(), md5=MD5))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [tmp_path / "file.zip"] * 4
    assert len(server.requests) == 1


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_local_path_is_used_in_place(tmp_path, form):
    (tmp_path / "elsewhere.zip").write_bytes(CONTENT)
    archive = Archive(file="file.zip", url=form.format(tmp_path / "elsewhere.zip"), md5=MD5)
    assert get(tmp_path / "data", archive) == tmp_path / "elsewhere.zip"
    with pytest.raises(InputError, match="there is nothing at"):
        get(tmp_path / "data", Archive(file="file.zip", url=form.format(tmp_path / "none.zip")))


def test_licensed_files_are_downloaded_only_when_terms_are_accepted(server, tmp_path):
    terms = "https://example.org/terms"
    with pytest.raises(InputError) as caught:
        get(tmp_path, url=server.url(), terms=terms)
    assert terms in str(caught.value)
    assert "archives.skeletons.terms_accepted: true" in str(caught.value)
    assert server.requests == []
    get(tmp_path, url=server.url(), terms=terms, terms_accepted=True)
    assert len(server.requests) == 1


def test_a_job_names_keys_that_work_as_printed(tmp_path):
    job = Plan(load_config(ROOT / "config" / "ntu60.yaml")).job("acquire", {"dataset": "ntu60", "role": "s001_to_s017"})
    with pytest.raises(InputError) as caught:
        run_job(job.settings, {}, tmp_path / job.output, Options(data=tmp_path))
    key, value = re.search(r"set (\S+): (true) to have", str(caught.value)).groups()
    assert key == "datasets.ntu60.archives.s001_to_s017.terms_accepted"
    values = load_yaml(value, "value")
    for part in reversed(key.split(".")):
        values = {part: values}
    archives = load_config(ROOT / "config" / "ntu60.yaml", changes=values).datasets["ntu60"].archives
    assert archives["s001_to_s017"].terms_accepted


def test_passwords_are_found_in_netrc(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password pa55word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.password = "Basic " + base64.b64encode(b"user:pa55word").decode()
    get(tmp_path, url=server.url())
    monkeypatch.delenv("NETRC")
    with pytest.raises(InputError, match="the server says 401"):
        get(tmp_path / "other", url=server.url())


def test_a_folder_that_cannot_be_looked_into(tmp_path):
    with pytest.raises(InputError, match=r"cannot be looked for \(File name too long\)"):
        find(Archive(file="a.zip"), tmp_path / ("x" * 300))


def test_every_absent_file_is_listed(tmp_path):
    archives = {
        "skeletons": Archive(file="Skeleton.7z", terms="https://example.org"),
        "labels": Archive(file="Labels.7z"),
        "split": Archive(file="split.txt"),
        "drive": Archive(file="drive.zip", google_drive="abc", terms="https://example.org/drive"),
    }
    (tmp_path / "split.txt").write_text("")
    with pytest.raises(InputError) as caught:
        get_archive(archives, "skeletons", tmp_path)
    message = str(caught.value)
    assert "3 of the dataset's 4 raw files are: Skeleton.7z, Labels.7z, drive.zip" in message
    assert f"ask its owner for it (https://example.org) and put it into {tmp_path}" in message
    assert "archives.labels.url" in message
    assert "archives.drive.terms_accepted: true" in message
    assert "split.txt:" not in message


def test_google_drive(tmp_path, monkeypatch):
    import gdown

    calls = []

    def fake(*, id, output, quiet, resume):
        calls.append((id, resume))
        with open(output, "wb") as stream:
            stream.write(CONTENT)
        return output

    monkeypatch.setattr(gdown, "download", fake)
    assert get(tmp_path, google_drive="abc", md5=MD5).read_bytes() == CONTENT
    assert calls == [("abc", True)]


@pytest.mark.parametrize("outcome", ["raises", "none", "wrong"])
def test_google_drive_that_refuses(tmp_path, monkeypatch, outcome):
    import gdown

    def fake(*, id, output, quiet, resume):
        if outcome == "raises":
            raise RuntimeError("Too many users have viewed or downloaded this file recently")
        if outcome == "wrong":
            with open(output, "wb") as stream:
                stream.write(b"<html>")
            return output
        return None

    monkeypatch.setattr(gdown, "download", fake)
    with pytest.raises(InputError, match="Google Drive abc"):
        get(tmp_path, google_drive="abc", md5=MD5)
    assert leftovers(tmp_path) == []


def test_gdown_has_the_options_that_are_used():
    import inspect

    import gdown

    assert {"id", "output", "quiet", "resume"} <= set(inspect.signature(gdown.download).parameters)


def test_records(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"12345")
    record = tmp_path / "record.json"
    write_record(record, archive)
    assert located(record) == archive
    archive.write_bytes(b"12346")  # as long as before
    with pytest.raises(InputError, match=r"is not what it was .*has changed"):
        located(record)
    archive.unlink()
    with pytest.raises(InputError, match="is gone"):
        located(record)


def test_records_of_folders(tmp_path):
    folder = tmp_path / "extracted"
    folder.mkdir()
    (folder / "0001-M.txt").write_text("1 2 3")
    record = tmp_path / "record.json"
    write_record(record, folder)
    assert located(record) == folder
    (folder / "0002-M.txt").write_text("")
    with pytest.raises(InputError, match=r"is not what it was .*has changed"):
        located(record)


@contextmanager
def read_only(folder, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloading, "write_json", refuse)
    yield


def test_a_full_disk(server, tmp_path, monkeypatch):
    with read_only(tmp_path, monkeypatch), pytest.raises(InputError, match="No space left on device"):
        get(tmp_path, url=server.url())
    assert module is not None
