// SPDX-License-Identifier: MIT
// The messages behind mail.h.
#include "mail.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace exo::test {
namespace {

// A message of one byte with room for one descriptor, at an address of its own.
struct Message {
    explicit Message(char kind) : byte(kind) {
        header.msg_iov = &data;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof(control);
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

    char byte;
    iovec data = {.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header = {};
};

}  // namespace

int send_fd(int socket, int fd, char kind, int flags) {
    Message message(kind);
    cmsghdr* control = CMSG_FIRSTHDR(&message.header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &fd, sizeof(fd));
    return sendmsg(socket, &message.header, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int receive_fd(int socket, char* kind, int flags) {
    Message message(0);
    if (recvmsg(socket, &message.header, flags | MSG_CMSG_CLOEXEC) < 0) {
        return -errno;
    }
    cmsghdr* control = CMSG_FIRSTHDR(&message.header);
    if (!control || control->cmsg_type != SCM_RIGHTS) {
        return -ENOMSG;
    }
    int fd = -1;
    memcpy(&fd, CMSG_DATA(control), sizeof(fd));
    *kind = message.byte;
    return fd;
}

}  // namespace exo::test
