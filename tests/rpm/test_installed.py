from __future__ import annotations

import pytest

from builder.errors import DocumentError, Fault, VerificationError
from builder.model.rpm import Nevra
from builder.rpm.installed import parse_comps, parse_installed


def test_both_forms_of_rpm_qa_are_read() -> None:
    text = b"""# taken on k8s01
bash-4.2.46-31.el7.x86_64
dhclient-12:4.2.5-68.el7.x86_64
vim-(none):7.4-1.noarch

gpg-pubkey-f4a80eb5-53a7ff4b
gpg-pubkey-f4a80eb5-53a7ff4b.(none)
bash-4.2.46-31.el7.x86_64
"""
    assert parse_installed(text, document="base.txt") == (
        Nevra("bash", 0, "4.2.46", "31.el7", "x86_64"),
        Nevra("dhclient", 12, "4.2.5", "68.el7", "x86_64"),
        Nevra("vim", 0, "7.4", "1", "noarch"),
    )


def test_every_bad_line_is_reported() -> None:
    text = b"bash\nok-1-1.noarch\nlib-1.0-2\n\xff-1-1.noarch\nx-1-1.src\n"
    with pytest.raises(DocumentError) as caught:
        parse_installed(text, document="base.txt")
    form = "is not a NEVRA (like docker-ce-3:19.03.9-3.el7.x86_64)"
    assert str(caught.value) == "base.txt: 4 mistakes"
    assert caught.value.hint == "write the file with: rpm -qa --qf '%{NEVRA}\\n' > FILE"
    assert caught.value.faults == (
        Fault(where="line 1", what=f"'bash' {form}"),
        Fault(where="line 3", what=f"'lib-1.0-2' {form}", hint="the architecture is missing"),
        Fault(where="line 4", what=f"'\ufffd-1-1.noarch' {form}"),
        Fault(where="line 5", what="'x-1-1.src' is a source package"),
    )


BASH = Nevra("bash", 0, "4.2.46", "31.el7", "x86_64")
DHCP = Nevra("dhclient", 12, "4.2.5", "68.el7", "x86_64")
YUM = """Loaded plugins: fastestmirror, langpacks
Loading mirror speeds from cached hostfile
 * base: mirror.example.com
Installed Packages
bash.x86_64                     4.2.46-31.el7             @anaconda
dhclient.x86_64                 12:4.2.5-68.el7           @base
NetworkManager-config-server-of-a-long-name.noarch
                                1:1.12.0-6.el7            @anaconda
"""


@pytest.mark.parametrize(
    "text",
    [
        "bash-4.2.46-31.el7.x86_64\ndhclient-12:4.2.5-68.el7.x86_64\n",
        "\ufeffbash-4.2.46-31.el7.x86_64\r\n\r\n# x\r\ndhclient-12:4.2.5-68.el7.x86_64\r\n",
        "12:dhclient-4.2.5-68.el7.x86_64\n0:bash-4.2.46-31.el7.x86_64\n",
        "(none):bash-4.2.46-31.el7.x86_64\n12:dhclient-4.2.5-68.el7.x86_64\n",
        "bash-(none):4.2.46-31.el7.x86_64\ndhclient-12:4.2.5-68.el7.x86_64\n",
        "bash 4.2.46-31.el7 x86_64\ndhclient 12:4.2.5 68.el7 x86_64\n",
        "bash,4.2.46,31.el7,x86_64\ndhclient;12:4.2.5;68.el7;x86_64\n",
        "bash\t4.2.46\t31.el7\tx86_64\ndhclient\t12:4.2.5-68.el7\tx86_64\n",
        ("bash-4.2.46-31.el7.x86_64                     Mon 30 Nov 2026 10:11:12 AM UTC\n"
        "dhclient-12:4.2.5-68.el7.x86_64               Mon 30 Nov 2026 10:11:12 AM UTC\n"),
        ("Last metadata expiration check: 0:01:02 ago on Mon 30 Nov 2026.\nInstalled Packages\n"
        "bash.x86_64  4.2.46-31.el7  @System\ndhclient.x86_64  12:4.2.5-68.el7  @System\n"),
        ("已加载插件: fastestmirror\n已安装的软件包\nbash.x86_64  4.2.46-31.el7  @anaconda\n"
        "dhclient.x86_64  12:4.2.5-68.el7  installed\n可安装的软件包\n"
        "socat.x86_64  1.7-2.el7  base\n"),
        ("Installed Packages\nbash.x86_64  4.2.46-31.el7  @anaconda\n"
        "dhclient.x86_64  12:4.2.5-68.el7  @base/7\nAvailable Packages\n"
        "a-very-long-name-without-a-number.noarch\n      1.7-2.el7  base\n"),
        ("/mnt/Packages/bash-4.2.46-31.el7.x86_64.rpm\n"
        "./dhclient-12:4.2.5-68.el7.x86_64.rpm\n"),
        ("gpg-pubkey.(none)  f4a80eb5-53a7ff4b  installed\n"
        "bash.x86_64  4.2.46-31.el7  installed\ndhclient.x86_64  12:4.2.5-68.el7  installed\n"),
    ],
)  # fmt: skip
def test_lists_as_people_save_them(text: str) -> None:
    assert parse_installed(text.encode(), document="base.txt") == (BASH, DHCP)


def test_columns_that_yum_wrapped() -> None:
    found = parse_installed(YUM.encode(), document="base.txt")
    assert found == (
        Nevra("NetworkManager-config-server-of-a-long-name", 1, "1.12.0", "6.el7", "noarch"),
        BASH,
        DHCP,
    )


@pytest.mark.parametrize(
    "text",
    [
        "bash-4.2.46-31.el7\nglibc-2.17-260.el7\nglibc-2.17-260.el7\n",
        "bash-4.2.46-31\n",
        "dhclient-12:4.2.5-68.el7\nkernel-3.10.0-957.el7\n",
        "bash-4.2.46-31.el7_9.1\ngpg-pubkey-f4a80eb5-53a7ff4b\n",
    ],
)
def test_a_list_without_architectures_is_told_once(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_installed(text.encode(), document="base.txt")
    assert caught.value.faults == (
        Fault(
            where="",
            what="this list has no architectures",
            hint="write it on a node: rpm -qa --qf '%{NEVRA}\\n' > FILE",
        ),
    )


def test_names_of_files_are_those_of_packages() -> None:
    content = b"bash-4.2.46-31.el7.x86_64.rpm\n"
    assert parse_installed(content, document="base.txt") == (BASH,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("bash-4.2.46-31.el7.aarch64\nglibc-2.17-1.el7.i686\n", "of machines with aarch64"),
        ("bash-4.4.20-1.el8.x86_64\nfoo-1-1.x86_64\n", "a system whose packages are called .el8"),
        ("||/ Name  Version\nii  bash  5.0-4  amd64  GNU Bourne\n", "is of Debian's packages"),
        ("bash/stable,now 5.0-4 amd64 [installed]\n", "is of Debian's packages"),
        ("bash\nglibc\nutil-linux\n", "has names without versions"),
    ],
)
def test_a_list_of_another_kind_is_told_once(text: str, what: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_installed(text.encode(), document="l", architecture="x86_64", system="el7")
    (fault,) = caught.value.faults
    assert what in fault.what


def test_packages_of_a_vendor_may_be_another_systems() -> None:
    text = b"bash-4.2.46-31.el7.x86_64\nagent-1-1.el6.x86_64\nold-1-1.i686\n"
    assert len(parse_installed(text, document="l", architecture="x86_64", system="el7")) == 3


def test_a_list_in_another_encoding_says_so() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_installed("bash-1-1.noarch\n".encode("utf-16"), document="base.txt")
    (fault,) = caught.value.faults
    assert (fault.where, fault.what) == ("", "is not UTF-8")
    assert "iconv -f UTF-16 -t UTF-8 FILE" in str(fault.hint)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"\n# nothing\n", "no package is listed"), (b"x" * 5_000_000, "5,000,000 bytes")],
)
def test_an_empty_or_endless_list_is_refused(content: bytes, what: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_installed(content, document="base.txt")
    assert [fault.what for fault in caught.value.faults] == [what]


COMPS = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE comps PUBLIC "-//CentOS//DTD Comps info//EN" "comps.dtd">
<comps><group><id>core</id><packagelist>
<packagereq type="mandatory">bash</packagereq><packagereq type="default">NetworkManager</packagereq>
<packagereq type="optional">tboot</packagereq>
<packagereq type="conditional" requires="x">y</packagereq>
</packagelist></group><group><id>empty</id></group></comps>"""


def test_a_group_is_what_an_installer_takes() -> None:
    assert parse_comps(COMPS, "core") == ("NetworkManager", "bash")


def test_a_missing_group_names_those_that_are_there() -> None:
    with pytest.raises(VerificationError) as caught:
        parse_comps(COMPS, "minimal", where="os")
    assert (str(caught.value), caught.value.hint) == (
        "os: there is no group 'minimal'",
        "it has: core, empty",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (COMPS.replace(b"bash", b"../x"), "os: '../x' is not the name of a package"),
        (COMPS.replace(b'"comps.dtd"', b'"comps.dtd" [<!ENTITY a "b">]'),
         ("os: the document is refused: it declares a document type,"
          " which repository metadata never needs")),
    ],
)  # fmt: skip
def test_damaged_groups_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_comps(content, "core", where="os")
    assert str(caught.value) == message


def test_a_key_with_an_epoch_written_out_is_skipped() -> None:
    listed = b"(none):gpg-pubkey-f4a80eb5-53a7ff4b.(none)\n(none):bash-4.2.46-31.el7.x86_64\n"
    found = parse_installed(listed, document="installed.txt")
    assert [str(one) for one in found] == ["bash-4.2.46-31.el7.x86_64"]
