# Pretraining: stage 1 of each modality, what runs on from it, and the floor and the ceiling.


rule pretrain_modality:
    """Stage 1: momentum contrast of one modality."""
    input:
        unpack(inputs_of("stage1")),
    output:
        state=output_of("stage1"),
        metrics=beside("stage1", "metrics.csv"),
    log:
        log_of("stage1"),
    benchmark:
        timing_of("stage1")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.pretrain.gpu,
        mem_mb=COMPUTE.pretrain.mem_mb,
        runtime=COMPUTE.pretrain.runtime,
    params:
        settings=settings_of("stage1"),
        files=arguments_of("stage1"),
        options=ON_DEVICE,
    shell:
        RUN


rule pretrain_skeletonclr:
    """SkeletonCLR: stage 1 of one modality run on to the last epoch."""
    input:
        unpack(inputs_of("skeletonclr")),
    output:
        state=output_of("skeletonclr"),
        metrics=beside("skeletonclr", "metrics.csv"),
    log:
        log_of("skeletonclr"),
    benchmark:
        timing_of("skeletonclr")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.pretrain.gpu,
        mem_mb=COMPUTE.pretrain.mem_mb,
        runtime=COMPUTE.pretrain.runtime,
    params:
        settings=settings_of("skeletonclr"),
        files=arguments_of("skeletonclr"),
        options=ON_DEVICE,
    shell:
        RUN


rule pretrain_exchange:
    """Stage 2: the modalities of a method exchange what they know (IKEM, CrosSCLR)."""
    input:
        unpack(inputs_of("exchange")),
    output:
        state=output_of("exchange"),
        metrics=beside("exchange", "metrics.csv"),
    log:
        log_of("exchange"),
    benchmark:
        timing_of("exchange")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.pretrain.gpu,
        mem_mb=COMPUTE.pretrain.mem_mb,
        runtime=COMPUTE.pretrain.runtime,
    params:
        settings=settings_of("exchange"),
        files=arguments_of("exchange"),
        options=ON_DEVICE,
    shell:
        RUN


rule train_supervised:
    """The ceiling: encoder and classifier of one modality trained with all labels."""
    input:
        unpack(inputs_of("supervised")),
    output:
        state=output_of("supervised"),
        metrics=beside("supervised", "metrics.csv"),
    log:
        log_of("supervised"),
    benchmark:
        timing_of("supervised")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.pretrain.gpu,
        mem_mb=COMPUTE.pretrain.mem_mb,
        runtime=COMPUTE.pretrain.runtime,
    params:
        settings=settings_of("supervised"),
        files=arguments_of("supervised"),
        options=ON_DEVICE,
    shell:
        RUN


rule draw_untrained:
    """The floor: untrained encoders."""
    input:
        unpack(inputs_of("random")),
    output:
        state=output_of("random"),
    log:
        log_of("random"),
    benchmark:
        timing_of("random")
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        settings=settings_of("random"),
        files=arguments_of("random"),
        options=options(),
    shell:
        RUN


rule pretrain:
    """Pretrain everything that the config asks for."""
    input:
        states_of("stage1", "skeletonclr", "exchange"),
