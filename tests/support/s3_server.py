"""An S3 store over loopback: moto's server, which speaks the real API and, when told to, checks access keys."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from moto.server import ThreadedMotoServer

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
KEY = "s3-TOPSECRET-key"


class S3Server:
    """One bucket, `models`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = botocore.session.Session().create_client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY_ID, aws_secret_access_key=KEY
        )
        self.client.create_bucket(Bucket="models")

    def put(self, key: str, data: bytes, **more: str) -> None:
        self.client.put_object(Bucket="models", Key=key, Body=data, **more)

    def put_in_parts(self, key: str, data: bytes, part: int) -> None:
        """As large files are uploaded; the store wants parts of 5 MiB at least, but for the last."""
        where = {"Bucket": "models", "Key": key}
        upload = {**where, "UploadId": self.client.create_multipart_upload(**where)["UploadId"]}
        parts = []
        for number, at in enumerate(range(0, len(data), part), 1):
            answer = self.client.upload_part(**upload, PartNumber=number, Body=data[at : at + part])
            parts.append({"ETag": answer["ETag"], "PartNumber": number})
        self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def check_keys(self) -> None:
        """From now on only known keys are let in, and none is known."""
        self.tell("reset-auth", b"0")

    def tell(self, what: str, data: bytes = b"") -> None:
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.url}/moto-api/{what}", data=data, headers=headers, method="POST")
        urllib.request.urlopen(request).close()


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """A store that is empty but for its bucket; what it holds lives in this process, so it is emptied at the end."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    server = S3Server(f"http://{host}:{port}")
    try:
        yield server
    finally:
        server.tell("reset-auth", b"inf")
        server.tell("reset")
        running.stop()
