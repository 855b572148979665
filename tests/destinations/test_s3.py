"""The yum side of ``airseed publish`` in a bucket: boto3 against an S3 server on loopback."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from builder.bundle.layout import Extent
from builder.destinations import s3
from builder.errors import AirseedError, FetchError, UsageError
from builder.model.digest import Digest
from builder.pipeline.yum import YumTarget, publish_yum
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample

BUCKET = "site"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    resource = boto3.resource("s3")
    made = resource.Bucket(BUCKET)
    made.create()
    yield made
    made.objects.all().delete()
    resource.meta.client.close()
    server.stop()


def expect_all(sample: Sample, bucket: Any) -> None:
    there = {one.key: one for one in bucket.objects.all()}
    wanted = {
        f"k8s/{extent.path}": extent.digest.hex
        for extent in sample.layout.extents
        if not extent.path.startswith("images/")
    }
    assert set(there) == set(wanted) | {"k8s/airseed.repo", "k8s/airseed-published.json"}
    for key, digest in wanted.items():
        assert hashlib.sha256(there[key].get()["Body"].read()).hexdigest() == digest, key


def test_a_bucket_is_filled_once(sample: Sample, bucket: Any) -> None:
    target = YumTarget(place=f"s3://{BUCKET}/k8s/")
    done = publish_yum(sample.bundle, target, reporter=Silent())
    expect_all(sample, bucket)
    assert done.url.endswith("/site/k8s")
    assert list(bucket.multipart_uploads.all()) == []
    before = {one.key: one.last_modified for one in bucket.objects.all()}
    again = publish_yum(sample.bundle, target, reporter=Silent())
    assert again.plan.count == 0
    assert {one.key: one.last_modified for one in bucket.objects.all()} == before


def test_a_large_object_goes_up_in_pieces_and_counts_at_the_end(bucket: Any) -> None:
    content = random.Random(1).randbytes((17 << 20) + 5)
    wanted = Extent(path="large", header=0, offset=0, size=len(content),
                    digest=Digest.of(content), content=content)  # fmt: skip
    with s3.S3Tree(f"s3://{BUCKET}/k8s") as tree:
        place = tree.place(wanted, readable=False)
        for again in (False, True):  # the first time it breaks off
            for at in range(0, len(content), 3 << 20):
                place.write(memoryview(content)[at : at + (3 << 20)], at)
            assert not list(bucket.objects.all())
            if not again:
                assert place.recover() == 0
                assert not list(bucket.multipart_uploads.all())
        place.finish()
        assert tree.holds("large", {wanted.digest}, wanted.size, "")
    assert bucket.Object("k8s/large").get()["Body"].read() == content


def test_a_bucket_that_is_not_there_is_told(sample: Sample, bucket: Any) -> None:
    target = YumTarget(place="s3://nobody/k8s")
    with pytest.raises(AirseedError, match="the service answered 404 NoSuchBucket"):
        publish_yum(sample.bundle, target, reporter=Silent())


def test_a_clock_that_is_wrong_is_told(bucket: Any) -> None:
    errors = pytest.importorskip("botocore.exceptions")
    tree = s3.S3Tree(f"s3://{bucket.name}/k8s")
    for date, hint in {
        "Mon, 05 Jan 2015 10:00:00 GMT": "UTC, the service's 2015-01-05 10:00: set the one that",
        "": "check bucket, endpoint",
        "soon": "check bucket, endpoint",
    }.items():
        said = {"ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"date": date}}}
        with pytest.raises(FetchError) as caught, tree.asked("x"):
            raise errors.ClientError(said, "HeadObject")
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize("place", ["s3://", "s3://key:secret@site/k8s", "s3:///k8s"])
def test_what_names_no_bucket_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="names no bucket") as caught:
        s3.S3Tree(place)
    assert "secret" not in str(caught.value)


def test_without_boto3_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UsageError, match="boto3, which is not installed") as caught:
        s3.S3Tree("s3://site")
    assert caught.value.hint == "pip install 'airseed[s3]'"
