# From raw archives to prepared arrays, splits and draws.
MADE_FILES = {
    kind: {
        role: results(f"{{dataset}}/raw/{name}") for role, name in MADE[kind].items()
    }
    for kind in MADE
}


rule make_ntu_recordings:
    """Make recordings in the raw form of NTU RGB+D: a zip of .skeleton files, and the list of missing skeletons."""
    input:
        unpack(inputs_of("make_ntu")),
    output:
        skeletons=MADE_FILES["ntu"]["skeletons"],
        missing_list=MADE_FILES["ntu"]["missing_list"],
    log:
        log_of("make_ntu"),
    benchmark:
        timing_of("make_ntu")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("make_ntu"),
        files=arguments_of("make_ntu"),
        options=options(),
    shell:
        RUN


rule make_pkummd_recordings:
    """Make recordings in the raw form of PKU-MMD: untrimmed videos and their labels in 7z archives, and the split files."""
    input:
        unpack(inputs_of("make_pkummd")),
    output:
        skeletons=MADE_FILES["pkummd"]["skeletons"],
        labels=MADE_FILES["pkummd"]["labels"],
        cross_subject=MADE_FILES["pkummd"]["cross_subject"],
        cross_view=MADE_FILES["pkummd"]["cross_view"],
    log:
        log_of("make_pkummd"),
    benchmark:
        timing_of("make_pkummd")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("make_pkummd"),
        files=arguments_of("make_pkummd"),
        options=options(),
    shell:
        RUN


rule acquire_archive:
    """Locate a raw archive in the data folder, or download it; write where it is and what it is."""
    input:
        unpack(inputs_of("acquire")),
    output:
        found=output_of("acquire"),
    log:
        log_of("acquire"),
    benchmark:
        timing_of("acquire")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("acquire"),
        files=arguments_of("acquire"),
        options=FROM_DATA,
    shell:
        RUN


rule decode:
    """Read the clips of all archives of a dataset; list the rejected ones."""
    input:
        unpack(inputs_of("decode")),
    output:
        samples=output_of("decode"),
        coordinates=results("{dataset}/decoded/coordinates.npy"),
        rejected=results("{dataset}/decoded/rejected.csv"),
    log:
        log_of("decode"),
    benchmark:
        timing_of("decode")
    threads: COMPUTE.processes
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("decode"),
        files=arguments_of("decode"),
        options=IN_PROCESSES,
    shell:
        RUN


rule prepare:
    """Centre, resize and turn all clips: one prepared copy for every split."""
    input:
        unpack(inputs_of("prepare")),
    output:
        position=output_of("prepare"),
        samples=results("{dataset}/prepared/samples.csv"),
    log:
        log_of("prepare"),
    benchmark:
        timing_of("prepare")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("prepare"),
        files=arguments_of("prepare"),
        options=options(),
    shell:
        RUN


rule generate_modality:
    """Generate the array of one modality from the prepared positions."""
    input:
        unpack(inputs_of("modality")),
    output:
        modality=output_of("modality"),
    log:
        log_of("modality"),
    benchmark:
        timing_of("modality")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("modality"),
        files=arguments_of("modality"),
        options=options(),
    shell:
        RUN


rule split:
    """Split a dataset by a protocol: lists of indices, counted."""
    input:
        unpack(inputs_of("split")),
    output:
        split=output_of("split"),
    log:
        log_of("split"),
    benchmark:
        timing_of("split")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("split"),
        files=arguments_of("split"),
        options=options(),
    shell:
        RUN


rule draw:
    """Draw the labelled clips of a semi-supervised evaluation: a file of clip names."""
    input:
        unpack(inputs_of("draw")),
    output:
        names=output_of("draw"),
    log:
        log_of("draw"),
    benchmark:
        timing_of("draw")
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("draw"),
        files=arguments_of("draw"),
        options=options(),
    shell:
        RUN


rule data:
    """Prepare every dataset of the config."""
    input:
        sorted(
            {
                str(job.output)
                for job in PLAN.all_jobs()
                if job.name.kind in ("modality", "split")
            }
        ),
