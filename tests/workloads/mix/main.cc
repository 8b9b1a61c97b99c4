// SPDX-License-Identifier: MIT
// Random operations by several processes: exo_mix MOUNT STATE SEED OPERATIONS. Without the last two
// it only compares what is there with what the run before left in STATE.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/workloads/mix/player.h"

int main(int argc, char** argv) {
    constexpr unsigned kPlayers = 4;
    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: exo_mix MOUNT STATE [SEED OPERATIONS]\n");
        return 2;
    }
    const std::string mount = argv[1], state = argv[2], shared = mount + "/shared";
    mkdir(shared.c_str(), 0755);
    umask(0);
    for (unsigned i = 0; i < kPlayers; i++) {
        const std::string number = std::to_string(i), own = mount + "/own" + number,
                          file = state + "/model" + number;
        mkdir(own.c_str(), 0755);
        if (fork() != 0) continue;
        const uint64_t seed = argc == 5 ? strtoull(argv[3], nullptr, 0) * 100 + i : 0;
        mix::Player player(own, shared, i, seed);
        player.model().load(file);
        player.model().compare(own);
        if (argc == 5) {
            player.play(strtoull(argv[4], nullptr, 0));
            player.model().compare(own);
            player.model().save(file);
        }
        _exit(0);
    }
    bool good = true;
    int status = 0;
    while (wait(&status) > 0) good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (good) mix::check_shared(shared);
    return good ? 0 : 1;
}
