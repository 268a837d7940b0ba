# Gathering: the long table, tables, figures and the report.


rule gather:
    """Gather all results; results made under other settings are refused by name."""
    input:
        plan=results("plan.json"),
        rows=files_of(),
    output:
        csv=results("tables/results.csv"),
        report=results("report.html"),
    log:
        results("logs/tables/gather.log"),
    benchmark:
        results("logs/tables/gather.benchmark.tsv")
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        digest=PLAN.digest,
        tables=lambda wildcards, output: str(Path(output.csv).parent),
    shell:
        "python -m ikem gather {input.plan:q} {params.tables:q} --digest {params.digest} --log {log:q}"


rule tables_so_far:
    """Tables of what is there: cells without a result stay empty and say why."""
    input:
        plan=results("plan.json"),
    log:
        results("logs/tables/so_far.log"),
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        tables=results("tables"),
    shell:
        "python -m ikem gather {input.plan:q} {params.tables:q} --partial --log {log:q}"
