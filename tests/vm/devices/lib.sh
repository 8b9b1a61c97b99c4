# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of this folder share, beside ../lib.sh. They run in the machine of `run`.

# drive_of SERIAL: sets $device to the drive; one that is behind a multipath head, to the head.
drive_of() {
    local controller name
    for controller in /sys/class/nvme/*; do
        [ "$(tr -d ' ' <"$controller/serial")" = "$1" ] || continue
        for name in "$controller"/nvme*n1; do
            name=${name##*/}
            # nvme2c3n1 is the path of the head nvme2n1.
            device=/dev/${name/c*n/n}
            wait_until 10 test -b "$device"
            return
        done
    done
    skip "there is no drive $1; this is for tests/vm/devices/run"
}

uapi() {
    EXO_TEST_DEVICE=$device EXO_TEST_ROUNDS=${EXO_TEST_ROUNDS:-10} EXO_TEST_READS=${EXO_TEST_READS:-$((2000 / EXO_TIME_SCALE))} \
        "$EXO_BUILD/tests/uapi/exo_uapi_test" "$@"
}
