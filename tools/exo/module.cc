// SPDX-License-Identifier: MIT
#include "tools/exo/module.h"

#include <exo/exo.h>

#include "tools/exo/command.h"

namespace exo::tool {

namespace {

// What a libexo call returned, unless it failed.
int check(int returned) {
    if (returned < 0) throw Failure(exo_last_error());
    return returned;
}

template <typename Entry>
std::vector<Entry> list(uint32_t kind) {
    std::vector<Entry> entries;
    auto add = [](const void* entry, void* context) {
        static_cast<std::vector<Entry>*>(context)->push_back(*static_cast<const Entry*>(entry));
        return 0;
    };
    check(exo_module__list(kind, sizeof(Entry), 0, add, &entries));
    return entries;
}

}  // namespace

exo_info Module::info() const {
    exo_info info{};
    check(exo_module__info(&info, sizeof(info)));
    return info;
}

exo_stats Module::stats() const {
    exo_stats stats{};
    check(exo_module__stats(&stats, sizeof(stats)));
    return stats;
}

std::vector<exo_volume_entry> Module::volumes() const {
    return list<exo_volume_entry>(EXO_LIST_VOLUMES);
}
std::vector<exo_pin_entry> Module::pins() const {
    return list<exo_pin_entry>(EXO_LIST_PINS);
}
std::vector<exo_grant_entry> Module::grants() const {
    return list<exo_grant_entry>(EXO_LIST_GRANTS);
}
std::vector<exo_program_entry> Module::programs() const {
    return list<exo_program_entry>(EXO_LIST_PROGRAMS);
}

std::vector<exo_tenant_entry> Module::tenants() const {
    return list<exo_tenant_entry>(EXO_LIST_TENANTS);
}

void Module::set_tenant(const exo_tenant_set& request) const {
    check(exo_tenant__set(&request, sizeof(request)));
}

exo_revoke_id Module::revoke(uint64_t grant_id, uint32_t grace_ms) const {
    exo_revoke_id result = {};
    check(exo_grant__revoke_id(grant_id, grace_ms, &result, sizeof(result)));
    return result;
}

void Module::release(uint32_t volume_id, uint32_t grace_ms) const {
    check(exo_volume__release(volume_id, grace_ms));
}

unique_fd Module::open_audit(bool from_now) const {
    const uint32_t flags = from_now ? EXO_AUDIT_FROM_NOW : 0;
    return unique_fd(check(exo_audit__open(flags, sizeof(exo_audit_event))));
}

const char* pin_state_text(uint32_t state) {
    switch (state) {
        case EXO_PIN_STATE_LIVE:
            return "live";
        case EXO_PIN_STATE_REVOKING:
            return "revoking";
        case EXO_GRANT_STATE_CUT:
            return "cut";
        default:
            return "?";
    }
}

}  // namespace exo::tool
