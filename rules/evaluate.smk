# Embeddings, and every evaluation of them.


rule embed:
    """Run each frozen encoder of a method once over all clips."""
    input:
        unpack(inputs_of("embed")),
    output:
        embeddings=output_of("embed"),
    log:
        log_of("embed"),
    benchmark:
        timing_of("embed")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.evaluate.gpu,
        mem_mb=COMPUTE.evaluate.mem_mb,
        runtime=COMPUTE.evaluate.runtime,
    params:
        settings=settings_of("embed"),
        files=arguments_of("embed"),
        options=ON_DEVICE,
    shell:
        RUN


rule evaluate_frozen:
    """All evaluations of frozen embeddings of a method: linear, nearest neighbours."""
    input:
        unpack(inputs_of("frozen")),
    output:
        rows=output_of("frozen"),
    log:
        log_of("frozen"),
    benchmark:
        timing_of("frozen")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.evaluate.gpu,
        mem_mb=COMPUTE.evaluate.mem_mb,
        runtime=COMPUTE.evaluate.runtime,
    params:
        settings=settings_of("frozen"),
        files=arguments_of("frozen"),
        options=ON_DEVICE,
    shell:
        RUN


rule evaluate_tuned:
    """Fine-tune a method's encoders on all labels, or on a draw of them, and test."""
    input:
        unpack(inputs_of("tuned")),
    output:
        rows=output_of("tuned"),
    log:
        log_of("tuned"),
    benchmark:
        timing_of("tuned")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.evaluate.gpu,
        mem_mb=COMPUTE.evaluate.mem_mb,
        runtime=COMPUTE.evaluate.runtime,
    params:
        settings=settings_of("tuned"),
        files=arguments_of("tuned"),
        options=ON_DEVICE,
    shell:
        RUN


rule linear:
    """Linear evaluation of every method."""
    input:
        files_of("linear"),


rule knn:
    """Nearest-neighbour evaluation of every method."""
    input:
        files_of("knn"),


rule semi:
    """Semi-supervised evaluation of every method."""
    input:
        files_of("semi"),


rule finetune:
    """Fine-tuning of every method."""
    input:
        files_of("finetune"),
