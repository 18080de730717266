PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null, -- base16 representation
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer, -- null implies "false"
    sigs             text, -- space-separated
    ca               text -- if not null, an assertion that the path is content-addressed; see ValidPathInfo
);
INSERT INTO ValidPaths VALUES(1,'/nix/store/f6jw51pywlak4y5mdy01vcjmwcgg04p9-text','sha256:8cd6313a484d3aa88b2ab2cdd726daddc9da6ca03a76068339d7873939540661',1795709699,NULL,128,NULL,'c-1:+k/9FAEoLKJs09iUlD80BiGdlrBwBcvpzJ70rnnbL5morWNPgPC1m2+WhOINetYwM9jH41BdLgT2V2icqxn1AQ==','text:sha256:0zq8hya5axbrzzbb16zax4ma1nj28w1a5k05zy2c6hf9hcba4gqb');
INSERT INTO ValidPaths VALUES(2,'/nix/store/5ldfnn3d8l09492dzlvmbd7wgdz2p3rp-lib.drv','sha256:993a59b747cee2a474a313175d37cc6ea8e541779c01a6f982dcbb5ab2533a52',1795709699,NULL,536,NULL,'c-1:0tYc+cP1b//1YQtyOpP+ueHgmD0LoXvxbYXo7ske+bYG0yZeNDAWWm7rGTypcGJ2ccLUnfMwZDhBuQhfy8aSCg==','text:sha256:0a0ax7f645b7sa5bhk14mcr2h2i87jan7mbgbfn5fpj3dpigxbxq');
INSERT INTO ValidPaths VALUES(3,'/nix/store/8y95a30w2yfswijya1a53zn7s6dvyp67-app.drv','sha256:041ab64c0fcde672e45405e2f3f16119b55bcf524a2ac0bfedfd54b0491a0f9c',1795709699,NULL,640,NULL,'c-1:v/kPUAT91QHKXEb/whz84wBqYYGM82Wv7PcTs/3bkCXsz3r58SC1LGBEmffB2cPCyLPqyMBa9oZaMtt8rBFFBg==','text:sha256:1s4dyw16bjpqg88647hd25wk4yncaz7p2fndz3q62w7wkpgqjv0x');
INSERT INTO ValidPaths VALUES(4,'/nix/store/w2jkrmaf03ahwagps88hj4yymm134x1z-lib','sha256:4bc500adf5cfa4fc75603e778a880102ab409d51a8e4e24e9153740ae71d1c1c',1795709699,'/nix/store/5ldfnn3d8l09492dzlvmbd7wgdz2p3rp-lib.drv',216,1,'c-1:B5zLqYqgnKH3dyVlG3zW1lQWASaAhhcsPlpWQ+fTgGOSQPD+9aNqUNp5ex1zMFQuGzYNl+3CJ3PdqTxGWCpiCA==',NULL);
INSERT INTO ValidPaths VALUES(5,'/nix/store/7znadcgi99clr80jdpfka6mgqx6rzr4c-app','sha256:f2e254916258fc0480bb39142361e26fc09828f6cc86c0a3df402661d42087b6',1795709699,'/nix/store/8y95a30w2yfswijya1a53zn7s6dvyp67-app.drv',264,1,'c-1:Fvg8i6wpyiMk5lg51vu16osbCRezo9Pm/Ytjqc7DnoOPgEsINXYx2/r/3R+s2DIVw3G8hS552ns8zTb6GffCDg==',NULL);
CREATE TABLE Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
INSERT INTO Refs VALUES(2,1);
INSERT INTO Refs VALUES(3,2);
INSERT INTO Refs VALUES(3,1);
INSERT INTO Refs VALUES(4,1);
INSERT INTO Refs VALUES(4,4);
INSERT INTO Refs VALUES(5,5);
INSERT INTO Refs VALUES(5,1);
INSERT INTO Refs VALUES(5,4);
CREATE TABLE DerivationOutputs (
    drv  integer not null,
    id   text not null, -- symbolic output id, usually "out"
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
INSERT INTO DerivationOutputs VALUES(2,'out','/nix/store/w2jkrmaf03ahwagps88hj4yymm134x1z-lib');
INSERT INTO DerivationOutputs VALUES(3,'out','/nix/store/7znadcgi99clr80jdpfka6mgqx6rzr4c-app');
CREATE TABLE SchemaMigrations (migration text primary key not null);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('ValidPaths',5);
CREATE INDEX IndexReferrer on Refs(referrer);
CREATE INDEX IndexReference on Refs(reference);
CREATE TRIGGER DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end;
CREATE INDEX IndexDerivationOutputs on DerivationOutputs(path);
COMMIT;
