// SPDX-License-Identifier: MIT
// The pin and grant calls for scripts of tests, one call each, with the errno's name as the answer
// when it fails.
//   exo_pin_tool pin|lease FILE            lease: holds it until the end of its input
//   exo_pin_tool unpin FILE [GRACE_MS]     prints: revoked grants
//   exo_pin_tool info FILE                 prints: ino generation flags extents
//   exo_pin_tool grant FILE                prints "open", then "revoked" when it is; ends with its
//   input
#include <errno.h>
#include <fcntl.h>
#include <linux/exo.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "fs/base/unique_fd.h"

namespace {

int failed() {
    printf("%s\n", strerrorname_np(errno));
    return 1;
}

void wait_for_end_of_input() {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

// The grant alone is held: the file is closed, and its mount may go.
int hold_grant(exo::unique_fd file) {
    const exo::unique_fd control(open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC));
    if (!control) return failed();
    exo_grant_open request{};
    request.file_fd = file.get();
    const exo::unique_fd grant(ioctl(control.get(), EXO_IOC_GRANT_OPEN, &request));
    if (!grant) return failed();
    file.reset();
    puts("open");
    fflush(stdout);
    pollfd waits[] = {{STDIN_FILENO, POLLIN, 0}, {grant.get(), POLLPRI, 0}};
    for (;;) {
        if (poll(waits, 2, -1) < 0) return failed();
        if (waits[1].revents) {
            puts("revoked");
            fflush(stdout);
            waits[1].fd = -1;
        }
        if (waits[0].revents) return 0;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    const std::string what = argv[1];
    exo::unique_fd file(open(argv[2], O_RDONLY | O_CLOEXEC));
    if (!file) return failed();
    if (what == "pin" || what == "lease") {
        exo_file_pin request{what == "pin" ? EXO_PIN_PERSISTENT : 0, 0};
        if (ioctl(file.get(), EXO_FILE_PIN, &request) != 0) return failed();
        if (what == "lease") {
            puts("leased");
            fflush(stdout);
            wait_for_end_of_input();
        }
    } else if (what == "unpin") {
        exo_file_unpin request{};
        request.grace_ms = argc > 3 ? static_cast<unsigned>(atoi(argv[3])) : 0;
        if (ioctl(file.get(), EXO_FILE_UNPIN, &request) != 0) return failed();
        printf("%u\n", request.revoked_grants);
    } else if (what == "info") {
        exo_file_info info{};
        if (ioctl(file.get(), EXO_FILE_INFO, &info) != 0) return failed();
        printf("%llu %llu %u %llu\n", info.ino, info.generation, info.flags, info.extents);
    } else if (what == "grant") {
        return hold_grant(std::move(file));
    } else {
        return 2;
    }
    return 0;
}
