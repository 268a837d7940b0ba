# From raw archives to prepared arrays, splits and label subsets.
RAW = {
    format: {role: results(f"{{dataset}}/raw/{name}") for role, name in files.items()}
    for format, files in RAW_FILES.items()
}


rule make_ntu:
    """Generate recordings in the raw form of NTU RGB+D: a zip of .skeleton files, and the list of missing ones."""
    input:
        unpack(inputs_of("make_ntu")),
    output:
        skeletons=RAW["ntu"]["skeletons"],
        missing_list=RAW["ntu"]["missing_list"],
    log:
        log_of("make_ntu"),
    benchmark:
        timing_of("make_ntu")
    priority: JOB_TYPES["make_ntu"].priority
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


rule make_pkummd:
    """Generate recordings in the raw form of PKU-MMD: untrimmed videos and labels in 7z archives, and split files."""
    input:
        unpack(inputs_of("make_pkummd")),
    output:
        skeletons=RAW["pkummd"]["skeletons"],
        labels=RAW["pkummd"]["labels"],
        cross_subject=RAW["pkummd"]["cross_subject"],
        cross_view=RAW["pkummd"]["cross_view"],
    log:
        log_of("make_pkummd"),
    benchmark:
        timing_of("make_pkummd")
    priority: JOB_TYPES["make_pkummd"].priority
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


rule acquire:
    """Locate a raw archive in the data folder, or download it; write its path and what it is."""
    input:
        unpack(inputs_of("acquire")),
    output:
        found=output_of("acquire"),
    log:
        log_of("acquire"),
    benchmark:
        timing_of("acquire")
    priority: JOB_TYPES["acquire"].priority
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
    priority: JOB_TYPES["decode"].priority
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
    """Center, resize and align all clips: one prepared copy for every split."""
    input:
        unpack(inputs_of("prepare")),
    output:
        position=output_of("prepare"),
        samples=results("{dataset}/prepared/samples.csv"),
    log:
        log_of("prepare"),
    benchmark:
        timing_of("prepare")
    priority: JOB_TYPES["prepare"].priority
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


rule modality:
    """Generate the array of one modality from the prepared positions."""
    input:
        unpack(inputs_of("modality")),
    output:
        modality=output_of("modality"),
    log:
        log_of("modality"),
    benchmark:
        timing_of("modality")
    priority: JOB_TYPES["modality"].priority
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
    priority: JOB_TYPES["split"].priority
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


rule label_subset:
    """Draw the labeled clips of a semi-supervised evaluation: a file of clip names."""
    input:
        unpack(inputs_of("label_subset")),
    output:
        names=output_of("label_subset"),
    log:
        log_of("label_subset"),
    benchmark:
        timing_of("label_subset")
    priority: JOB_TYPES["label_subset"].priority
    threads: 1
    resources:
        gpu=COMPUTE.data.gpu,
        mem_mb=COMPUTE.data.mem_mb,
        runtime=COMPUTE.data.runtime,
    params:
        settings=settings_of("label_subset"),
        files=arguments_of("label_subset"),
        options=options(),
    shell:
        RUN


rule data:
    """Prepare every dataset of the config."""
    input:
        outputs_of("modality", "split"),
