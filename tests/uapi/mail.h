// SPDX-License-Identifier: MIT
// File descriptors sent over a UNIX socket, one in a message, with one byte that says what it is.
#pragma once

namespace exo::test {

// 0 or a negative errno. `flags`: of sendmsg().
int send_fd(int socket, int fd, char kind, int flags = 0);
// The descriptor, close-on-exec, or a negative errno; -ENOMSG for a message without one. `flags`:
// of recvmsg().
int receive_fd(int socket, char* kind, int flags = 0);

}  // namespace exo::test
