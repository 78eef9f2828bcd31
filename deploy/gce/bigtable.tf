locals {
  retention  = var.retention_days > 0 ? "${var.retention_days * 24}h" : null
  companions = ["", "_collectors", "_gaps", "_hourly"]
  all_tables = var.create_bigtable ? toset(flatten([for table in var.tables : [for end in local.companions : "${table}${end}"]])) : toset([])
}

resource "google_bigtable_instance" "depth" {
  count               = var.create_bigtable ? 1 : 0
  name                = var.bigtable_instance
  deletion_protection = true

  cluster {
    cluster_id   = "${var.bigtable_instance}-${var.zone}"
    zone         = var.zone
    num_nodes    = 1
    storage_type = "SSD"
  }

  depends_on = [google_project_service.used]
}

resource "google_bigtable_table" "depth" {
  for_each            = local.all_tables
  name                = each.key
  instance_name       = google_bigtable_instance.depth[0].name
  deletion_protection = "PROTECTED"

  column_family {
    family = "data"
  }
}

# One version of a cell; rows of the past only where somebody set a retention, and summaries never.
resource "google_bigtable_gc_policy" "depth" {
  for_each        = local.all_tables
  instance_name   = google_bigtable_instance.depth[0].name
  table           = google_bigtable_table.depth[each.key].name
  column_family   = "data"
  deletion_policy = "ABANDON"

  gc_rules = jsonencode(
    local.retention != null && contains(var.tables, each.key)
    ? { mode = "union", rules = [{ max_version = 1 }, { max_age = local.retention }] }
    : { rules = [{ max_version = 1 }] }
  )
}

resource "google_bigtable_instance_iam_member" "collector" {
  instance   = var.bigtable_instance
  role       = "roles/bigtable.user"
  member     = google_service_account.collector.member
  depends_on = [google_bigtable_instance.depth]
}
