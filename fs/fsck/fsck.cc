// SPDX-License-Identifier: MIT
// The order of the passes, and what is written at the end of them.
#include "fs/fsck/fsck.h"

#include <time.h>

#include <cstring>

#include "fs/fsck/check.h"
#include "fs/fsck/patient_device.h"
#include "fs/volume/superblock_io.h"

namespace exo {

namespace {

using fsck::Check;

void claim_fixed(Check& c) {
    c.claim_metadata(kSuperblockPlace, 1);
    c.claim_metadata(kSystemPlace, 1);
    c.claim_metadata(c.sb.journal_start, c.sb.journal_blocks);
    for (BlockNo place : backup_places(c.sb.size_blocks)) c.claim_metadata(place, 1);
    for (uint64_t group = 0; group < group_count(c.sb.size_blocks); group++)
        c.claim_metadata(bitmap_place(group), 1);
    c.contested.clear();
}

Result<> run_passes(Check& c) {
    EXO_TRY(check_superblocks(c));
    c.image = std::make_unique<fsck::Image>(c.device, c.sb);
    c.space = std::make_unique<fsck::Space>(c.sb.size_blocks);
    c.metadata = std::make_unique<fsck::Space>(c.sb.size_blocks);
    c.retired = std::make_unique<fsck::Space>(c.sb.size_blocks);
    memcpy(c.hash_key.data(), c.sb.hash_key, c.hash_key.size());
    c.stamp = uint32_t(time(nullptr)) | 1;
    claim_fixed(c);
    EXO_TRY(check_journal(c));
    EXO_TRY(check_inode_file(c));
    claim_indexes(c);
    EXO_TRY(check_inodes(c));
    EXO_TRY(search_lost(c));
    EXO_TRY(check_overlaps(c));
    EXO_TRY(rebuild_trees(c));
    EXO_TRY(check_directories(c));
    EXO_TRY(check_links(c));
    EXO_TRY(check_indexes(c));
    return check_bitmaps(c);
}

}  // namespace

Result<FsckReport> fsck_run(BlockDevice& device, const FsckOptions& options) {
    FsckReport report;
    fsck::PatientDevice patient(device);
    Check c(patient, options, report);
    c.writable = options.mode != FsckMode::kCheck && !device.read_only();
    EXO_TRY(run_passes(c));
    const bool write = c.writable && (options.mode != FsckMode::kSafe || c.problems.all_safe());
    if (write) {
        if (c.image->changed()) EXO_TRY(c.image->write_back(*c.journal));
        const bool unclean = (c.sb.state & (kStateMounted | kStateError)) != 0;
        if (c.problems.any() || unclean) EXO_TRY(store_superblocks(c));
        c.problems.all_written();
    } else {
        for (FsckFinding& finding : report.findings) finding.repaired = false;
    }
    return report;
}

}  // namespace exo
